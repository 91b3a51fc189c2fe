"""Files: arrays written and read by parts, each rank its own.

`shards` says which part of an array a rank has and makes stores of parts; `blocks` moves boxes between memory and a file;
`atomic` puts a file in its place when all of it is written. The formats are programs of these, which all ranks run together:
`contiguous`, `npy`, `archives`, `text`, `streams`, `hdf5`, `tiles`, `zarrs`. One rank runs the same ones. Knows no faces:
names and checks of arguments are theirs.
"""
