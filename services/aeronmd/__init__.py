"""aeronmd: Aeron's media driver as a service of its own."""
