"""What a configuration's rows say, by domain, and how any text is read: content alone, for every judge."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from versatune_plugin.errors import DataError
from versatune_plugin.knowledge.judges.content import NOTHING, Repeated, content, repeated, without_markup
from versatune_plugin.knowledge.judges.row_texts import row_texts
from versatune_plugin.schema.wording import counted

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MOST_HELD_OUT = 200


@dataclass(frozen=True)
class DomainRows:
    """Contents of rows by domain, and the reader of texts that they give.

    A base model's texts have no template and no preamble, so no judge sees any: what many rows of one file repeat,
    marks of chat templates and special tokens are left out of rows and of texts alike.

    Attributes:
        training: contents that a judge may learn from, by domain, as long as a generated text at most.
        held_out: contents to measure a judge on, by domain; none of them is in ``training``.
        without: what is not read in a text.
        special_tokens: nor these.
    """

    training: Mapping[str, Sequence[str]]
    held_out: Mapping[str, Sequence[str]]
    without: Repeated = NOTHING
    special_tokens: tuple[str, ...] = ()

    @classmethod
    def of_run(
        cls,
        cfg: Any,
        dataset_domains: Sequence[str],
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_new_tokens: int,
        training_rows: int,
        seed: int,
    ) -> DomainRows:
        """The rows of a configuration; a fifth of each domain's, or less, is held out.

        Args:
            cfg: Axolotl's validated configuration.
            dataset_domains: the domain of each of its data sets, in their order.
            tokenizer: the base model's, which measures a text's length.
            max_new_tokens: the length of a text at most, in tokens of that tokenizer.
            training_rows: of each domain, at most.
            seed: of the choice of rows.

        Raises:
            DataError: a file is not there, or cannot be read as rows.
        """
        from axolotl.loaders import load_tokenizer

        own = load_tokenizer(cfg)
        special_tokens = tuple(sorted({*own.all_special_tokens, *tokenizer.all_special_tokens} - {""}))
        most = training_rows + MOST_HELD_OUT
        texts = {
            name: [[without_markup(text, special_tokens) for text in file] for file in files]
            for name, files in row_texts(cfg, dataset_domains, own, most=most, seed=seed).items()
        }
        without = repeated(file for files in texts.values() for file in files)
        shorten = shortener(tokenizer, max_new_tokens)
        training, held_out = {}, {}
        for number, name in enumerate(sorted(set(dataset_domains))):
            contents = (content(text, without) for file in texts[name] for text in file)
            distinct = [text for text in dict.fromkeys(map(shorten, contents)) if text]
            generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, number, 1])))
            order = generator.permutation(len(distinct))
            held = min(MOST_HELD_OUT, len(distinct) // 5)
            held_out[name] = [distinct[row] for row in order[:held]]
            training[name] = [distinct[row] for row in order[held : held + training_rows]]
        return cls(training, held_out, without, special_tokens)

    def read(self, text: str) -> str:
        """What a text says, in one line; empty where it says nothing.

        Args:
            text: of a model.
        """
        return content(without_markup(text, self.special_tokens), self.without).strip()

    def labelled(self, domains: Sequence[str], most: int) -> tuple[list[str], np.ndarray]:
        """Held-out contents, and the column number of each one's domain, shape (n,).

        Args:
            domains: the names, in the order of the columns.
            most: of each domain.

        Raises:
            DataError: a domain has none.
        """
        lacking = [
            f"domain {name!r} has {counted(len(self.training.get(name, ())), 'row')} that differ in content: too few "
            "to hold some out; add rows"
            for name in domains
            if not self.held_out.get(name)
        ]
        if lacking:
            raise DataError.collected("there are no labelled rows to measure a judge on", lacking)
        return labelled({name: self.held_out[name][:most] for name in domains}, domains)

    def not_read(self) -> str:
        """A hash of what is left out of texts, which decides judgements."""
        runs = [sorted(runs) for runs in self.without.runs.values()]
        return digest([sorted(self.without.lines), runs, self.special_tokens])


def labelled(texts: Mapping[str, Sequence[str]], domains: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """All texts in one list and the column number of each text's domain, shape (n,).

    Args:
        texts: by domain.
        domains: the names, in the order of the columns.
    """
    truth = np.repeat(np.arange(len(domains)), [len(texts[name]) for name in domains])
    return [text for name in domains for text in texts[name]], truth


def digest(value: Any) -> str:
    """A hash of plain values, 16 hexadecimal digits."""
    return hashlib.sha256(repr(value).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def shortener(tokenizer: PreTrainedTokenizerBase, tokens: int) -> Callable[[str], str]:
    """What cuts a text.

    Args:
        tokenizer: measures its length.
        tokens: that are left at most.
    """

    def shorten(text: str) -> str:
        numbers = tokenizer(text, add_special_tokens=False, truncation=True, max_length=tokens)["input_ids"]
        return str(tokenizer.decode(numbers, skip_special_tokens=True, clean_up_tokenization_spaces=False)).strip()

    return shorten
