"""Puts the tabs together: order, theme, header, shortcuts, and what links one tab to another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from engines.base import Task
from engines.studio import Studio
from engines.studio.settings import VERSION
from engines.tasks import FAMILIES
from tabs import api
from tabs.about import help, home, jobs, models
from tabs.batch import page as batch
from tabs.compare import page as compare
from tabs.evaluate import page as evaluate
from tabs.judge import page as judge
from tabs.learn import page as loop
from tabs.library import history, projects
from tabs.make import family as family_page
from tabs.make import music, speech
from tabs.make.family import MakePage
from tabs.ui import rater, shortcuts, task
from tabs.ui.reuse import Reuse

HERE = Path(__file__).parent
FONTS = ["Inter", "system-ui", "Segoe UI", "Roboto", "Noto Sans", "Noto Sans CJK JP", "sans-serif"]
MONO = ["JetBrains Mono", "ui-monospace", "SFMono-Regular", "Consolas", "monospace"]

# families whose page has more than the forms of its engines
MAKE = {Task.TTS: speech.build, Task.MUSIC: music.build}

HEADER = f"""
<div class="studio-header">
  <div class="mark" aria-hidden="true"><i></i><i></i><i></i><i></i><i></i></div>
  <h1>Amphion Studio</h1><span class="version">{VERSION}</span>
  <button class="icon" data-action="theme" aria-label="Dark or light" title="Dark or light (t)">◐</button>
</div>"""


def theme() -> gr.themes.Base:
    """The studio's theme; fonts are the system's, so that nothing is fetched."""
    return gr.themes.Soft(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        font=FONTS,
        font_mono=MONO,
        radius_size="md",
    ).set(
        block_title_background_fill="transparent",
        block_title_text_color="*body_text_color",
        block_title_text_weight="600",
        block_title_padding="0",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_text_color="*body_text_color_subdued",
        block_label_text_color_dark="*body_text_color_subdued",
        block_shadow="none",
        block_border_width="1px",
        block_border_color="*border_color_primary",
        button_primary_shadow="none",
        button_secondary_shadow="none",
        button_border_width="1px",
        button_secondary_border_color="*border_color_primary",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
        button_primary_border_color="*primary_700",
        button_primary_border_color_dark="*primary_700",
        checkbox_label_background_fill_selected="*primary_700",
        checkbox_label_background_fill_selected_dark="*primary_700",
        input_border_width="1px",
        # controls stand out from the page by 3:1
        input_border_color="*neutral_500",
        input_border_color_dark="*neutral_500",
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
        input_shadow="none",
        # 4.5:1 and more on every background of the page
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        link_text_color="*secondary_700",
        link_text_color_hover="*secondary_800",
        link_text_color_active="*secondary_700",
        link_text_color_visited="*secondary_700",
        link_text_color_visited_dark="*secondary_400",
    )


def assets(suffix: str) -> list[Path]:
    """The style sheets or scripts of all rooms but those of pages that stand alone, by name."""
    found = (path for path in HERE.rglob(f"*{suffix}") if path.parent.name != "listen")
    return sorted(found, key=lambda path: path.name)


def page_kwargs() -> dict[str, Any]:
    """Theme, styles, scripts and routes, for ``server.create_app``."""
    script = "\n".join(path.read_text(encoding="utf-8") for path in assets(".js"))
    script = script.replace("__SHORTCUTS__", shortcuts.as_json())
    return {
        "theme": theme(),
        "css_paths": assets(".css"),
        "head": f"<script>{script}</script>",
        "routers": api.ROUTERS,
    }


def build(studio: Studio) -> gr.Blocks:
    """All tabs and endpoints of one studio."""
    with gr.Blocks(
        title="Amphion Studio",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(3600, 86400),  # look each hour for uploads and exports older than a day
    ) as demo:
        pass
    # endpoints on a page of their own, which no browser opens; clients call them by name. They come before
    # any event of the page: Gradio numbers a name that is taken, also by a private event
    with demo.route("Endpoints", "endpoints", show_in_navbar=False):
        api.build(studio)
    demo.current_page = ""
    with demo:
        gr.HTML(HEADER, apply_default_css=False)
        here = [family for family in FAMILIES if studio.engines(family.task)]
        remembered = {family.task: task.memory(family.task) for family in here}
        who, who_mirror = rater.memory(), rater.mirror()
        made: dict[Task, MakePage] = {}
        with gr.Tabs(elem_id="studio-tabs", selected="home") as tabs:
            with gr.Tab("Home", id="home", elem_id="tab-home") as tab:
                home_page = home.build(studio, tabs)
                tab.select(**home_page.refresh)
            for family in here:
                with gr.Tab(family.title, id=family.tab, elem_id=f"tab-{family.tab}") as tab:
                    lay_out = MAKE.get(family.task, family_page.build)
                    made[family.task] = lay_out(studio, family, tab, remembered[family.task], who)
                for page in made[family.task].pages:
                    tab.select(**page.refresh)
            with gr.Tab("Batch", id="batch", elem_id="tab-batch") as tab:
                batch_page = batch.build(studio)
                tab.select(**batch_page.refresh)
            with gr.Tab("Judge", id="judge", elem_id="tab-judge") as tab:
                judge_page = judge.build(studio, who, who_mirror)
                for page in judge_page.pages:
                    tab.select(**page.refresh)
            with gr.Tab("Compare", id="compare", elem_id="tab-compare") as tab:
                compare_page = compare.build(studio)
                tab.select(**compare_page.refresh)
            with gr.Tab("Evaluation", id="evaluation", elem_id="tab-evaluation") as tab:
                evaluate_page = evaluate.build(studio)
                for page in evaluate_page.pages:
                    tab.select(**page.refresh)
            loop.build(studio, tabs)
            with gr.Tab("History", id="history", elem_id="tab-history") as tab:
                makers = {str(each.task): (each.tab, made[each.task].tab) for each in here}
                reuse = Reuse(studio, tabs, makers)
                history_page = history.build(
                    studio, tabs, reuse, evaluate_page.link, compare_page.link
                )
                tab.select(**history_page.refresh)
            with gr.Tab("Models", id="models", elem_id="tab-models") as tab:
                models_page = models.build(studio)
                tab.select(**models_page.refresh)
            with gr.Tab("Jobs", id="jobs", elem_id="tab-jobs") as tab:
                jobs_page = jobs.build(studio)
                tab.select(**jobs_page.refresh)
            with gr.Tab("Projects", id="projects", elem_id="tab-projects") as tab:
                projects_page = projects.build(studio)
                tab.select(**projects_page.refresh)
            with gr.Tab("Help", id="help", elem_id="tab-help"):
                help.build(studio)
        demo.load(**home_page.refresh)
        judge_page.on_load(demo)
        for maker in made.values():
            maker.results.on_load(demo)
            maker.results.connect_actions(reuse, compare_page)
        demo.unload(history_page.forget)
    demo.queue(default_concurrency_limit=16, api_open=True)
    return demo
