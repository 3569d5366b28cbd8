# fullconv serve for CPUs; docs/serve.md says how it is run
FROM python:3.12-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src src
RUN python -m venv /opt/fullconv \
    && /opt/fullconv/bin/pip install --no-cache-dir -c constraints.txt '.[serve,onnx,lite]'

FROM python:3.12-slim-bookworm
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin fullconv
COPY --from=build /opt/fullconv /opt/fullconv
ENV PATH=/opt/fullconv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib
USER 10001:10001
WORKDIR /models
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["fullconv", "serve", "--host", "0.0.0.0"]
CMD ["/models/model.safetensors", "--token-file", "/run/secrets/tokens"]
