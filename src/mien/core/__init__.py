"""What every room uses: files, pixels, progress, optional packages, several processes."""
