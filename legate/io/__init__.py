"""Reading and writing stores: `legate.io.hdf5`."""
