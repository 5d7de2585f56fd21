"""The linear face: names of its coefficients, facial states, emotions of them, and the fit to landmarks."""
