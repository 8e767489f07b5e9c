"""Labelled networks: pairs measured over a simulated fabric with known faults, and the score of a localiser on them.

::

    fabric      racks, cards, uplinks: who gets how much of what when all pairs of a round run at once
    faults      what is broken, and what the fabric does then
    generate    a seed in, a network with labels out, as the JSON of ``ahc.pairwise/1``
    clos        a second fabric, built otherwise: streams over a graph of links, hashed over spines
    second      labelled networks of the second fabric
    rules       simple rules to be compared with, and the whole way by import and report
    score       what a localiser's answers are worth against the labels, and the goals

Built on other assumptions than the localiser's: the fabric shares its links fairly by filling them up, and nothing in it is a
sum of effects.
"""
