import re
from pathlib import Path
from tests.test_api import documented, DOC
def test_mine(documented):
    text=DOC.read_text()
    blocks=[b for b in re.findall(r"```python\n(.*?)```", text, re.S)]
    first=blocks[0]; 
    i=text.index("## Judging"); j=text.index("## Datasets")
    mine=re.findall(r"```python\n(.*?)```", text[i:j], re.S)
    tts=re.findall(r"```python\n(.*?)```", text[text.index("### /tts"):text.index("### One endpoint")], re.S)[0]
    code="\n".join([first,tts,*mine]).replace("http://127.0.0.1:7860", documented.url)
    exec(compile(code,"doc","exec"),{})
