"""The HTTP API: one router a noun. Routes translate; what is decided is decided at the desk."""
