"""Every setting of the studio, declared once: a flag, an environment variable and a help line each.

``--data DIR`` and ``STUDIO_DATA=DIR`` are the same setting; a flag wins over the environment.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

VERSION = "0.1.0"
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class Settings(BaseSettings):
    """Amphion Studio: make speech, singing, sound and music in the browser.

    Every flag is an environment variable too: --data is STUDIO_DATA, --api-key is STUDIO_API_KEY.
    """

    model_config = SettingsConfigDict(
        env_prefix="STUDIO_",
        cli_prog_name="app.py",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
        frozen=True,
    )

    host: str = Field(
        default_factory=lambda: "0.0.0.0" if on_space() else "127.0.0.1",
        description="Address to listen on: 127.0.0.1, on a Space 0.0.0.0.",
    )
    port: int = Field(7860, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    data: Path = Field(Path("data"), description="Folder of the database, sounds and models.")
    auth: Annotated[list[str], NoDecode] = Field(
        [], description="user:password pairs that may log in, separated by commas."
    )
    api_key: Annotated[list[str], NoDecode] = Field(
        [], description="Keys that scripts send as a bearer token, separated by commas."
    )
    rate_limit: int = Field(
        120, ge=0, description="Requests a minute for each API key; 0 switches the limit off."
    )
    public: bool = Field(
        False, description="Listen beyond this machine without a password or key. Not advised."
    )
    trusted_proxy: Annotated[list[str], NoDecode] = Field(
        [],
        description="Addresses or networks of proxies in front, separated by commas; only theirs "
        "X-Forwarded-For and X-Forwarded-Proto are believed.",
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 or mps.")
    dtype: str = Field("auto", description="auto, float32, bfloat16 or float16.")
    memory_gb: float | None = Field(
        None, gt=0, description="Memory the models may take in GB; default: 85 % of the device."
    )
    keep_alive_min: float = Field(
        30, ge=0, description="Minutes after which an idle model is unloaded; 0 keeps it."
    )
    threads: int = Field(0, ge=0, description="CPU threads of a model; 0 takes all cores.")
    max_upload_mb: int = Field(200, ge=1, description="Largest upload in MB.")
    max_upload_min: float = Field(60, gt=0, description="Longest uploaded sound in minutes.")
    hub_timeout_s: float = Field(
        8, gt=0, description="Seconds to wait for the model hub to answer."
    )
    mcp: bool = Field(False, description="Offer the endpoints to MCP clients as tools.")
    log_format: Literal["text", "json"] = Field("text", description="text or json log lines.")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")

    @field_validator("auth", "api_key", "trusted_proxy", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @field_validator("auth")
    @classmethod
    def _pairs(cls, value: list[str]) -> list[str]:
        for pair in value:
            user, colon, password = pair.partition(":")
            if not (user and colon and password):
                raise ValueError("each entry must be user:password")
        return value

    @field_validator("trusted_proxy")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for address in value:
            ipaddress.ip_network(address, strict=False)
        return value

    @property
    def users(self) -> dict[str, str]:
        """Passwords by user name."""
        return dict(pair.split(":", 1) for pair in self.auth)

    @property
    def protected(self) -> bool:
        """Whether a password or key is asked for."""
        return bool(self.auth or self.api_key)

    @property
    def on_space(self) -> bool:
        """Whether this is a Hugging Face Space."""
        return on_space()

    def refuse_exposure(self) -> str:
        """Why listening like this is refused, or "" when it is fine."""
        if self.host in LOOPBACK or self.protected or self.public or self.on_space:
            return ""
        return (
            f"--host {self.host} would let anyone on the network use this studio. "
            "Set --auth user:password or --api-key KEY, or --public to accept that."
        )


def on_space() -> bool:
    """Whether this is a Hugging Face Space, which is public by its owner's choice."""
    return bool(os.environ.get("SPACE_ID"))
