// The floor: what the runtime itself costs.
