"""From a kernel to LLVM IR."""
