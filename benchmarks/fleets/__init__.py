"""Labelled fleets: machines with known faults, as a session or as eDeploy files, and the score of a judge on them.

::

    platforms   what a kind of machine is and which metrics eDeploy measures on it
    noise       how healthy machines differ (the true noise, which also tells what an oracle could see)
    faults      what is broken, how much, and where that shows
    generate    a seed in, a fleet with labels out
    sessions, hw        the fleet as a Session in memory, and as a folder of .hw files
    peers       other rules on the same data: cardiff's, and a fixed threshold
    score, table        what a judge's findings are worth against the labels, and the goals
"""
