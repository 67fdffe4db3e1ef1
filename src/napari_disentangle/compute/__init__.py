"""How results are computed: operations, tile by tile, on a device, side by side."""
