"""Files and tables in memory as relations of one database, and files written whole. Knows no meaning."""
