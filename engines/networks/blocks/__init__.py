"""Parts that several published networks share. Shapes: B batch, T frames, C channels, L samples."""
