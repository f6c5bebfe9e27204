"""ONNX graphs: sessions that load fast, and noise as an input."""
