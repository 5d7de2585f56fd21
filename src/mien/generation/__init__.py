"""From a request to pictures with their records: reading the inputs, conditions, drawing, editing, sweeps, video."""
