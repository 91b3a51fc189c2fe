"""Simulation: what a program would move, keep and take on many ranks, none of which exists.

`legate-jit --simulate-ranks N` records and plans the program as N ranks do, for the first of them, one in the middle and the
last, and runs nothing: arrays have no memory and no contents. `world` stands in for the ranks, `costs` counts what a plan does,
`machine` turns counts into time, `report` begins it all and tells at the end what was found.
"""
