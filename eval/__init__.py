"""Evaluation: images to predictions to COCO AP, with the protocol that every number needs."""
