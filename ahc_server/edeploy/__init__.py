"""eDeploy's own files: specifications (``.specs``), entries to hand out (``.cmdb``), and the order of roles (``state``).

They are read without evaluating them, and give the same answers as the ``hardware`` package (PyPI, 0.24.0):

* ``files``, ``generate``: the three kinds of files as plain data,
* ``functions``, ``spec``: what one line of a specification asks,
* ``matcher``: one specification and one machine; ``possible``: whether there is a way at all; ``explain``: why there is none,
* ``cmdb``, ``roles``: which role a machine gets, and which entry,
* ``rows``: a machine of the store as eDeploy's lines, ``fleet``: all machines of a session,
* ``save``: the counts and the marks back into the folder, whole or not at all.
"""
