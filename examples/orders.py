"""
A shop's help desk on a model that runs on this machine: no key, no account, no server to set up.

    python examples/orders.py

The model looks an order up with a tool and answers with a typed result. It is a small model, and it makes things up:
where a result contradicts the order book, a validator sends it back to try again, as the last conversation shows. The
first run fetches the model (491 MB).
"""

from __future__ import annotations

from typing import Optional

import attrs
from attrs import validators

from syncagent import Agent, ModelRetry, RunContext
from syncagent.tools import ToolDefinition


@attrs.frozen
class Order:
    """A line of the order book."""

    item: str
    arrives: str
    late: bool


@attrs.frozen
class HelpDesk:
    """What a run depends on: who asks, and the order book."""

    customer: str
    orders: dict[int, Order]


@attrs.frozen
class Answer:
    """What the customer is told about an order."""

    order_number: int = attrs.field(validator=[validators.ge(1), validators.le(9999)])
    arrives: str = attrs.field(validator=[validators.min_len(3), validators.max_len(60)])
    late: bool


agent = Agent("local", deps_type=HelpDesk, result_type=Answer, retries=3)


@agent.system_prompt
def who_asks(ctx: RunContext[HelpDesk]) -> str:
    """Written anew for each run."""
    return f"You are the help desk of a shop. Look up the order of {ctx.deps.customer}, then give the final result."


def until_known(ctx: RunContext[HelpDesk], definition: ToolDefinition) -> Optional[ToolDefinition]:
    """Offer the tool until it has answered: a model as small as this one would look up for ever."""
    known = any(part.part_kind == "tool-return" for message in ctx.messages for part in message.parts)
    return None if known else definition


@agent.tool(prepare=until_known)
def order_status(ctx: RunContext[HelpDesk], order_number: int) -> Order:
    """Look up an order in the order book."""
    order = ctx.deps.orders.get(order_number)
    if order is None:
        raise ModelRetry(f"There is no order {order_number} in the order book.")
    return order


@agent.result_validator
def as_in_the_order_book(ctx: RunContext[HelpDesk], answer: Answer) -> Answer:
    """No answer that the order book does not bear out reaches a customer."""
    order = ctx.deps.orders.get(answer.order_number)
    if order is None or (answer.arrives, answer.late) != (order.arrives, order.late):
        raise ModelRetry("The order book says something else. Repeat what order_status returned, word by word.")
    return answer


def main() -> None:
    """Answer three customers, then show how the last answer came about and what it took."""
    orders = {4711: Order("tea pot", "today before 6 pm", late=False), 982: Order("lamp", "Friday", late=True)}
    questions = {
        "Ana": "Where is my order 4711?",
        "Bob": "Hi, Bob here. When does order #982 arrive?",
        "Gus": "Is my lamp, order 982, late? My birthday is on Thursday.",
    }
    for customer, question in questions.items():
        result = agent.run_sync(question, deps=HelpDesk(customer, orders))
        print(f"{customer}: {question}\n     {result.data}")

    print("\nThe last conversation:")
    for message in result.all_messages():
        for part in message.parts:
            content = getattr(part, "args", None) or getattr(part, "content", "")
            print(f"  {part.part_kind:14} {getattr(part, 'tool_name', None) or '':13} {content}")
    print(f"\n{result.usage()}")


if __name__ == "__main__":
    main()
