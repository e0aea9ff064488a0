"""A client that knows the contract's description and nothing of our server."""

from typing import Any

import httpx
import jsonschema

from s3sync_dagster_tests.api.contract import CONTRACT


class UnexpectedStatus(Exception):
    """An error that the contract foresees; anything else is an assertion."""

    def __init__(self, status: int, body: dict[str, str]) -> None:
        super().__init__(f"{status} {body['error']}: {body['message']}")
        self.status = status
        self.body = body


class ContractClient:
    """One method for each operation of the description: ``client.create_source(body=...)``.

    Each answer is held against its schema; a status that the contract does not name fails.
    """

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(base_url=url, headers={"x-chroma-token": token}, timeout=60)
        self._operations = {
            operation["operationId"]: (method.upper(), path, operation)
            for path, methods in CONTRACT["paths"].items()
            for method, operation in methods.items()
        }

    def close(self) -> None:
        self._http.close()

    def __getattr__(self, name: str) -> Any:
        method, path, operation = self._operations[name]

        def call(body: Any = None, *, form: Any = None, file: Any = None, **values: Any) -> Any:
            places = {one["name"]: one["in"] for one in operation.get("parameters", ())}
            url, params, headers = path, {}, {}
            for key, value in values.items():
                header = key.replace("_", "-")
                if places.get(key) == "path":
                    url = url.replace(f"{{{key}}}", str(value))
                elif places.get(key) == "query":
                    params[key] = value
                else:
                    assert places.get(header) == "header", f"{name} has no parameter {key}"
                    headers[header] = str(value)
            answer = self._http.request(
                method,
                url,
                params=params,
                headers=headers,
                json=body,
                data=form,
                files={"file": file} if file else None,
            )
            return self._checked(operation, answer)

        return call

    def _checked(self, operation: dict[str, Any], answer: httpx.Response) -> Any:
        status = str(answer.status_code)
        assert status in operation["responses"], f"{status} is not in the contract: {answer.text}"
        content = operation["responses"][status].get("content")
        if content is None:
            return answer.json() if answer.content else None
        found = answer.json()
        schema = {**content["application/json"]["schema"], "components": CONTRACT["components"]}
        jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(
            found
        )
        if answer.is_error:
            raise UnexpectedStatus(answer.status_code, found)
        return found
