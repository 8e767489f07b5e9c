"""The agent inside ironic-python-agent: a collector for inspection, and a step for cleaning and servicing.

::

    measuring.py         what both do: inventory and local benchmarks within a budget of time, as JSON values
    collector.py         entry points of `ironic_python_agent.inspector.collectors`
    hardware_manager.py  entry point of `ironic_python_agent.hardware_managers`
    extra_hardware.py    the same measurements in the form of `hardware-detect`, for inspection rules

Only ``collector`` and ``hardware_manager`` import ironic-python-agent, which loads them.
"""
