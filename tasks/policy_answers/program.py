"""Two steps: find the sentences that matter, then answer from them alone."""

import dspy


class FindThenAnswer(dspy.Module):
    """The answer sees only what the first step found."""

    def __init__(self) -> None:
        super().__init__()
        find = "Copy the sentences of the policy that answer the question."
        self.find = dspy.Predict(dspy.Signature("policy, question -> sentences", find))
        self.answer = dspy.Predict(dspy.Signature("sentences, question -> answer", "Answer the question."))

    def forward(self, policy: str, question: str) -> dspy.Prediction:
        """Return the sentences and the answer."""
        sentences = self.find(policy=policy, question=question).sentences
        return dspy.Prediction(sentences=sentences, answer=self.answer(sentences=sentences, question=question).answer)


def build() -> dspy.Module:
    """Return the program."""
    return FindThenAnswer()
