"""Reading in a worker, and following what the worker gives: converted files, mail parts."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from s3sync_dagster.engine.ports import Content, WorkerPool
from s3sync_dagster.extraction.answers import answer_of, text_of
from s3sync_dagster.extraction.beside_text import Warnings
from s3sync_dagster.extraction.content import size_of
from s3sync_dagster.extraction.counting import TEXT_LIMITS, WordCounter
from s3sync_dagster.extraction.engines import Engine, engines_for
from s3sync_dagster.extraction.fences import fence_of
from s3sync_dagster.extraction.inside import Inside
from s3sync_dagster.extraction.pages import PageWriter
from s3sync_dagster.extraction.pdf.scans import read_scans
from s3sync_dagster.extraction.steps import Attachment, Converted, Mail, PdfPages
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import (
    EmptyText,
    FixInput,
    LimitExceeded,
    MissingEngine,
    UnreadableFile,
)
from s3sync_dagster.model.source import ExtractionConfig

MAX_DEPTH = 3
"""Files inside files: a mail in a mail in a mail."""
_TABLE_OF = "s3sync_dagster.extraction.readers:table_of"
_MIN_CONVERTED = 0.6
"""Share of a file's words that a converter has to keep; running heads are left out by rule."""
Extract = Callable[..., Document]
"""``extract(content, name=, content_type=, depth=)`` of the same source and pool."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """A message on its way to a document."""

    writer: PageWriter
    warnings: Warnings


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One file on its way through the engines."""

    config: ExtractionConfig
    pool: WorkerPool
    extract: Extract
    depth: int
    inside: Inside = field(default_factory=Inside)
    """What the files inside the file may take."""

    def read(self, content: Content, *, reader: str, name: str, suffix: str) -> Document:
        """Return the document of the first engine that gives one.

        A later engine is asked where an earlier one met a limit, or a program could not open the
        file; what it says of the file counts.
        """
        engines = engines_for(reader, suffix=suffix, config=self.config)
        noticed: tuple[str, ...] = ()
        for engine in engines[:-1]:
            try:
                return self._with(noticed, self._run(engine, content, name))
            except (LimitExceeded, UnreadableFile) as error:
                if isinstance(error, UnreadableFile) and not engine.program:
                    raise
                noticed += (f"{engine.name} gave up ({error.reason}).",)
        return self._with(noticed, self._run(engines[-1], content, name))

    def _with(self, warnings: tuple[str, ...], document: Document) -> Document:
        if not warnings:
            return document
        return replace(document, warnings=warnings + document.warnings)

    def _run(self, engine: Engine, content: Content, name: str) -> Document:
        limits = engine.limits(size_of(content))
        if self.depth > MAX_DEPTH + 1:  # no honest file: what is converted is converted again
            raise LimitExceeded("Files are nested too deep.", reason="nested_too_deep")
        answer = answer_of(
            self.pool.submit(
                engine.function, content, name=name, config=self.config, limits=limits
            ).result()
        )
        if isinstance(answer, Converted):
            plain = 0 if answer.plain is None else sys.getsizeof(answer.plain.text)
            with self.inside.beside(len(answer.content) + plain):
                return self._follow(answer)
        if isinstance(answer, Mail):
            begun = self._begin(answer)
            answer = replace(answer, text="", html=b"")  # nobody holds its body twice
            with self.inside.body(begun.writer.held_bytes, is_inner=self.depth > 0):
                return self._compose(answer, begun)
        if isinstance(answer, PdfPages):
            with self.inside.beside(sum(map(sys.getsizeof, answer.texts))):
                return read_scans(answer, content, config=self.config, pool=self.pool)
        return answer

    def _follow(self, converted: Converted) -> Document:
        """Return the converted file's document, or the plain text where that says much more."""
        plain = converted.plain
        try:
            document = self.extract(converted.content, name=converted.name, depth=self.depth + 1)
        except EmptyText:
            if plain is None or not plain.text.strip():
                raise
            return replace(plain, warnings=(f"{converted.engine} found no text.",))
        if plain is not None:
            kept = WordCounter(self.pool).recall(plain.text, document.text)
            if kept < _MIN_CONVERTED:
                lost = f"{converted.engine} loses words of this file: it is read without layout."
                return replace(plain, warnings=(lost,))
        return replace(
            document,
            engine=f"{converted.engine}+{document.engine}",
            warnings=converted.warnings + document.warnings,
        )

    def _begin(self, mail: Mail) -> _Begun:
        """Return a document that has the message alone."""
        head = "".join(f"**{name}:** {value}  \n" for name, value in mail.headers)
        if mail.subject:
            head = f"# {mail.subject}\n\n{head}"
        body, warnings = self._body(mail)
        writer = PageWriter()
        writer.add("message", f"{head}\n{body.strip()}")
        return _Begun(writer, Warnings((*mail.warnings, *warnings)))

    def _compose(self, mail: Mail, begun: _Begun) -> Document:
        """Return the message with its attachments, each a page of its own."""
        writer, warnings = begun.writer, begun.warnings
        with self.inside.holding(sum(len(one.content) for one in mail.attachments)):
            for attachment in mail.attachments:
                try:
                    document, text = self._attached(attachment)
                except (FixInput, MissingEngine) as error:
                    warnings.add([f"Attachment {attachment.name!r} was left out: {error.message}"])
                    continue
                warnings.add(document.warnings, before=f"{attachment.name}: ")
                writer.add(attachment.name, f"## Attachment: {attachment.name}\n\n{text.strip()}")
                del document, text  # nothing of it is kept while the next one is read
            self.inside.put_together(writer.held_bytes)
        return Document(
            text=writer.text,
            format="markdown",
            pages=writer.pages,
            page_count=len(writer.pages),
            title=mail.subject,
            author=mail.author,
            created=mail.created,
            engine=mail.engine,
            warnings=warnings.shown(),
        )

    def _body(self, mail: Mail) -> tuple[str, tuple[str, ...]]:
        if not mail.html:
            return mail.text, ()
        try:
            document = self.extract(mail.html, name="body.html", depth=self.depth + 1)
        except EmptyText:
            return "", ()
        return document.text, document.warnings

    def _attached(self, attachment: Attachment) -> tuple[Document, str]:
        """Return a file of the mail, and its text as part of the mail's."""
        if self.depth >= MAX_DEPTH:
            raise LimitExceeded("Files are nested too deep.", reason="nested_too_deep")
        self.inside.begin()
        left = self.inside.bytes_left
        try:
            document = self.extract(
                attachment.content,
                name=attachment.name,
                content_type=attachment.content_type,
                depth=self.depth + 1,
            )
        finally:
            self.inside.bytes_left = left  # what is inside it is part of its text, or of nothing
        text = self._as_markdown(document)
        self.inside.take(text)
        return document, text

    def _as_markdown(self, document: Document) -> str:
        """Return a document's text as part of a Markdown text: rows as a table, code in a fence."""
        if document.format in ("markdown", "text"):
            return document.text
        if document.format == "csv":  # which may be all commas: a cell takes more than a character
            table = self.pool.submit(_TABLE_OF, document.text, limits=TEXT_LIMITS)
            if shown := text_of(table.result()):
                return shown
        return fenced(document.text)


def fenced(text: str) -> str:
    """Return a text in a fence, which none of its lines ends."""
    mark = fence_of(text)
    return f"{mark}\n{text}\n{mark}"
