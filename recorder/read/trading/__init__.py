"""What a trader asks for: fills, round trips, fees and realized PnL."""
