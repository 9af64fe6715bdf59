"""The frames of a record in its order, with the connections and gaps among them."""
