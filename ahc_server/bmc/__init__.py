"""Out-of-band control and data: BMCs over IPMI (pyghmi) and Redfish (sushy).

::

    nodes, credentials ──▶ Target     who is to be asked, and by which name and password
    workers                           a process for each BMC, so many at once, each with its own time limit
    ipmi, redfish ──▶ link.Bmc        what one BMC can be asked, whatever it speaks
    ask ──▶ model.Answer              what it said, or why it did not
    table                             drawn as text
    collect                           sensors and events into a session, for the judge
    discover, whose                   power on from the network, and see who joins
"""
