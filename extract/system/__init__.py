"""What every stage needs of the machine and of Python: devices, threads, locks, atomic writes, settings, messages.

In: nothing of videos; paths, functions and configurations.
Out: helpers that every other package may import, while they import no package of any stage.
"""
