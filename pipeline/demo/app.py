"""The whole page: which head, and three tabs."""

from pathlib import Path

import gradio as gr
from gradio import themes
from starlette.middleware import Middleware

from heads.errors import HeadError
from pipeline.demo.available_heads import AvailableHeads
from pipeline.demo.compare_tab import compare_tab
from pipeline.demo.draw_tab import draw_tab
from pipeline.demo.html import head_summary
from pipeline.demo.request_guard import RequestGuard
from pipeline.demo.search_tab import search_tab
from pipeline.demo.uploads import MAX_UPLOAD, errors_as_message

HERE = Path(__file__).parent
SYSTEM = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]  # no font is fetched
MONO = ["ui-monospace", "Menlo", "Consolas", "monospace"]
KEEP = 3600  # seconds that an uploaded file is kept


def build(heads: AvailableHeads) -> gr.Blocks:
    """
    Raises:
        HeadError: no head in `heads`.
    """
    names = heads.names()
    if not names:
        raise HeadError(f"{heads.artifacts}: no trained head here: run `dvc repro`")
    with gr.Blocks(title="lookalike", analytics_enabled=False, delete_cache=(KEEP, KEEP)) as page:
        with gr.Row(elem_id="la-top"):
            gr.HTML('<h1>lookalike</h1><p class="la-about">Which of these images look alike?</p>')
            head = gr.Dropdown(names, value=names[0], label="Head trained on", scale=0, min_width=220, elem_id="head")
        line = gr.HTML(elem_id="about")
        tabs = []
        with gr.Tab("Search", id="search"):
            tabs.append(search_tab(heads, head))
        with gr.Tab("Compare", id="compare"):
            tabs.append(compare_tab(heads, head))
        with gr.Tab("Draw", id="draw"):
            tabs.append(draw_tab(heads, head))

        @errors_as_message
        def summary(name: str) -> str:
            return head_summary(heads.get(name))

        gr.on([page.load, head.change], summary, head, line, api_visibility="private", show_progress="hidden")
        for tab in tabs:
            gr.on(
                [page.load, head.change],
                tab.refresh,
                [head, *tab.inputs],
                tab.outputs,
                preprocess=False,
                api_visibility="private",
                show_progress="hidden",
            )
    return page


def serve(page: gr.Blocks, *, port: int, browser: bool, wait: bool = True) -> str:
    """Serve `page` to this machine alone; its address. With `wait`, until it is interrupted."""
    _, address, _ = page.queue(max_size=64, default_concurrency_limit=2).launch(
        server_name="127.0.0.1",
        server_port=port,
        inbrowser=browser,
        prevent_thread_lock=not wait,
        share=False,
        quiet=True,
        show_error=False,
        ssr_mode=False,
        max_file_size=MAX_UPLOAD,
        app_kwargs={"middleware": [Middleware(RequestGuard, upload_bytes=MAX_UPLOAD)]},
        footer_links=[],
        enable_monitoring=False,
        theme=themes.Base(
            primary_hue="blue", neutral_hue="gray", font=SYSTEM, font_mono=MONO, radius_size=themes.sizes.radius_md
        ),
        css_paths=HERE / "style.css",
    )
    return address
