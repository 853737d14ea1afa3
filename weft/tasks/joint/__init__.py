"""Several stages of the chain as modules of one network, trained together (spec §1.9; `full_chain` of 2020)."""

from weft.tasks.joint.task import Joint

TASK = Joint
