"""The model affine: a closed form that a network corrects."""
