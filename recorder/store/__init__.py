"""The database: schema, exact types, engines, migrations, and the journal's writes."""
