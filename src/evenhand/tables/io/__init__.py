"""Files, databases and tables in memory as relations of one database, and files written whole; knows no meaning."""
