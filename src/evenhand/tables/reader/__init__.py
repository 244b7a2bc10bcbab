"""The mechanism that every kind of table is read by: columns, rows, values, arms and runs."""
