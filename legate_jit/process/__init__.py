"""What this process is told and given: flags, variables, processors, memory, and which of several ranks it is."""
