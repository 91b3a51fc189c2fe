"""Raw files (`file_handle`), tiles (`tile`) and Zarr folders (`zarr`) of stores, each rank reading and writing its own part."""
