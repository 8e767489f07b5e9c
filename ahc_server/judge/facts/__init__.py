"""What machines are, beside what their peers are: facts without any measurement.

``told``, ``devices``, ``machine`` and ``extras`` read an inventory as short texts, ``table`` sets them out by node and fact for a
group, ``drift``, ``lopsided`` and ``pcie`` know what is odd about them, and ``oddities`` says so.
"""
