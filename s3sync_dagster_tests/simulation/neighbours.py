"""What others do to the collections that a source fills."""

from s3sync_dagster.model.document import Record

NOT_YET = {
    "delete collection": "a collection has no identity yet: one that was deleted is not missed",
    "make collection anew": "a collection has no identity yet: an empty one is taken for full",
    "rob collection": "records that others deleted are looked for by `verify` alone",
    "rebuild --catalog": "it is being made to take over only what this source would write",
}
"""What can happen and has no answer in the engine, with the reason: switched on with the answer."""


class Neighbours:
    """Others with access to the same Chroma."""

    strangers: int = 0

    def write_by_hand(self, name: str) -> None:
        """Put a record of nobody, under an id of its own, into a collection."""
        self._put_stranger(name, {"by": "hand"})

    def write_by_others(self, name: str) -> None:
        """Put a record of another installation's source into a collection."""
        self._put_stranger(name, {"s3sync_source": "elsewhere", "document_key": "a.txt"})

    def delete_collection(self, name: str) -> None:
        self.note(f"somebody deletes the collection {name}")
        self.collections.delete_collection(
            name, tenant=self.source.tenant, database=self.source.database_name
        )
        self.foreign.pop(name, None)

    def make_collection_anew(self, name: str) -> None:
        self.delete_collection(name)
        self.open(name)

    def rob_collection(self, name: str, place: int) -> None:
        """Delete one record of ours."""
        mine = [one for one in sorted(self.records(name)) if one not in self.foreign.get(name, {})]
        if mine:
            self.note(f"somebody deletes {mine[place % len(mine)]} of {name}")
            self.open(name).delete([mine[place % len(mine)]])

    def _put_stranger(self, name: str, metadata: dict[str, str]) -> None:
        self.strangers += 1
        identity = f"stranger-{self.strangers}"
        self.note(f"somebody writes {identity} into {name}")
        record = Record(
            id=identity, document="strange", embedding_text="strange", metadata=metadata
        )
        self.open(name).upsert([record], self.embedder.embed_documents(["strange"]))
        self.foreign.setdefault(name, {})[identity] = self.records(name)[identity]
