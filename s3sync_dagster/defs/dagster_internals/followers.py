"""What else a run does with the asset that it makes, and the word on which that begins."""

import dagster as dg
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.execution.plan.inputs import StepInput
from dagster._core.execution.plan.step import IExecutionStep


def has_followers(context: dg.OpExecutionContext, *, but: str) -> bool:
    """Return whether steps of this run wait for the graph of ops that this op is part of.

    Args:
        context: of an op inside the graph.
        but: the name of a step that does not count.
    """
    step = context.get_step_execution_context()
    ours, plan = step.node_handle.parent, step.execution_plan
    inside = {one.key for one in plan.steps if one.node_handle.parent == ours}
    return any(
        one.key not in inside and one.node_handle.name != but and _waits_for(one) & inside
        for one in plan.steps
    )


def follows(context: dg.AssetCheckExecutionContext) -> bool:
    """Return whether this step waited for another one of its run."""
    step = context.op_execution_context.get_step_execution_context()
    return bool(_waits_for(step.step) & {one.key for one in step.execution_plan.steps})


def go_on() -> dg.Output[None]:
    """Return the output on which followers begin, and which is told as nothing that was made.

    Dagster logs a materialisation for each output of an asset; those of the keys have been logged.
    """
    return dg.Output(None, metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})


def _waits_for(step: IExecutionStep) -> set[str]:
    return {
        handle.step_key
        for each in step.step_inputs
        if isinstance(each, StepInput)  # others are of mapped steps, which an asset has inside
        for handle in each.get_step_output_handle_dependencies()
    }
