"""LangProBe's GeneratorCriticFuser over Scone's signature, for the DSPy of today; it becomes a task's program.py.

After langProBe/dspy_program.py (MIT, © 2025 LangProBe team): its signatures' words, and n = 5 answers. Instead of five
completions of one request there are five requests, whose temperatures differ by a hundredth so that their answers do.
"""

import dspy

ANSWERS, TEMPERATURE = 5, 0.7


class ScoNe(dspy.Signature):
    """context, question -> answer"""  # noqa: D400, D415 - LangProBe's words

    context: str = dspy.InputField()
    question: str = dspy.InputField()
    answer: str = dspy.OutputField(desc="Yes or No")


class Feedback(dspy.Signature):
    """Evaluate all responses based on their relevance to the instructions.
    All the responses should be included and evaluated using identifiers.
    You must include both strengths and weaknesses, even if there are more of one than the other.
    Start with the analysis for the first response and end with the analysis for the last response.
    """  # noqa: D205

    context: str = dspy.InputField()
    question: str = dspy.InputField()
    task_instructions: str = dspy.InputField(desc="The instructions on how the responses are generated.")
    responses: str = dspy.InputField(
        desc="The generated responses to critize. Each response will start with a numerical identifier in [], like [1]."
    )
    feedback: list[str] = dspy.OutputField(
        desc="The feedback for each response. Discuss the strengths and weaknesses of each response."
    )


class Fuse(dspy.Signature):
    """Your task is to synthesize a list of responses to a task into a single, high-quality response of the same format.
    Do not include explanations. For each response, we also provide critiques of strengths and weaknesses.
    """  # noqa: D205

    context: str = dspy.InputField()
    question: str = dspy.InputField()
    task_instructions: str = dspy.InputField(
        desc="The instructions on how the responses are generated. "
        "Your final response should FOLLOW these instructions."
    )
    responses: str = dspy.InputField(desc="The responses to synthesize.")
    feedback: list[str] = dspy.InputField(desc="The feedback (strength/weakness) for each response.")
    final_response: str = dspy.OutputField(
        desc="The final response, compiled from the input responses. Please provide a single response with the same "
        "format as all previous responses, excluding the number identifier. Ensure your response is well-structured, "
        "coherent, and adheres to the highest standards of accuracy and reliability. Yes or No"
    )


class GeneratorCriticFuser(dspy.Module):
    """Several answers, a critique of all of them, and one answer made of both: seven calls."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = dspy.ChainOfThought(ScoNe)
        self.critic = dspy.ChainOfThought(Feedback)
        self.fuser = dspy.ChainOfThought(Fuse)

    def forward(self, context: str, question: str) -> dspy.Prediction:
        """Return the answer."""
        asked = {"context": context, "question": question}
        configs = [{"temperature": TEMPERATURE + 0.01 * number} for number in range(ANSWERS)]
        answers = [self.generator(**asked, config=config).answer for config in configs]
        asked["responses"] = "\n".join(f"[{number}] {answer}" for number, answer in enumerate(answers, 1))
        asked["task_instructions"] = ScoNe.instructions
        feedback = self.critic(**asked).feedback
        return dspy.Prediction(answer=self.fuser(**asked, feedback=feedback).final_response)


def build() -> dspy.Module:
    """Return the program."""
    return GeneratorCriticFuser()
