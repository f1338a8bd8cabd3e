"""The built-in benchmark: seeded scenes of articulated people, as images and as COCO annotations.

`generator.generate(split, index, seed)` draws one scene, `dataset` makes a COCO-format data set of many.
The same split, index and seed give the same bytes on any machine.  An AP on these drawings says nothing about
photographs: the benchmark is here so that training, tests and evaluation run where COCO is not at hand.
"""
