"""Our networks in other libraries' terms. Each module needs the library of its name; none is a dependency."""
