"""Recording: from the sockets, through a bounded queue, into the database."""
