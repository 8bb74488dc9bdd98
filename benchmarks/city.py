"""The city of the benchmarks: WhatsApp in, moderation, routing, an HTTP sink out."""

from __future__ import annotations

import shutil
from pathlib import Path

from load import NUMBER, SECRET
from processes import HERE

CONFIG = """
[gateway]
name = "Comune di Esempio"
plugins = ["whatsapp", "email", "moderation", "routing", "sink_plugin.py:SinkPlugin"]
default_service = "urp"
acknowledge = false # the peer sends no notice to the citizen either

[store]
url = "{store}"

[web]
port = {port}
min_free_bytes = 0

[outbox]
concurrency = 64

[log]
level = "warning"

[channels.urp]
type = "whatsapp"
phone_number_id = "{number}"
token = {{ file = "secret" }}
app_secrets = [{{ file = "secret" }}]
verify_token = {{ file = "secret" }}
base_url = "http://127.0.0.1:{media}/v25.0"
media_hosts = ["127.0.0.1"]

[plugins.email]
host = "127.0.0.1"
port = 9
security = "none"
sender = "urp@comune.test"
domain = "comune.test"
reply_to = "urp@comune.test"
key = {{ file = "key" }}

[plugins.routing]
rules = [
  {{ service = "strade", words = ["buca", "buche", "asfalto", "lampion*"] }},
  {{ service = "rifiuti", words = ["cassonett*", "rifiut*", "spazzatura"] }},
]

[services.urp]
name = "Ufficio Relazioni con il Pubblico"
connectors = [{{ type = "sink", url = "http://127.0.0.1:{sink}" }}]

[services.strade]
name = "Strade e illuminazione"
connectors = [{{ type = "sink", url = "http://127.0.0.1:{sink}" }}]

[services.rifiuti]
name = "Igiene urbana"
connectors = [{{ type = "sink", url = "http://127.0.0.1:{sink}" }}]
"""


def build(
    folder: Path,
    port: int,
    sink: int,
    *,
    store: str = "sqlite:///gateway.db",
    media: int = 9,
) -> Path:
    """Make ``folder`` a city; return it. Nobody listens at port 9."""
    folder.mkdir(exist_ok=True)
    shutil.copy(HERE / "sink_plugin.py", folder)
    for name, text in (("secret", SECRET), ("key", SECRET * 4)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    text = CONFIG.format(port=port, sink=sink, store=store, number=NUMBER, media=media)
    (folder / "gateway.toml").write_text(text)
    return folder
