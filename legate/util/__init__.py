"""Tools that need no runtime: settings, information about the installation, benchmark logs."""
