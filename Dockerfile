# cmw: worker (default) and gateway in one image.
#
#   docker build -t cmw .
#   docker run --network host --read-only --tmpfs /tmp --cap-drop ALL --stop-timeout 15 \
#       -e WORKER_TOKEN -e CLOUD_URL=gateway.example:443 cmw
#   docker run -p 443:8443 -v cmw-data:/data -v ./tls:/tls:ro --health-cmd 'curl -fsSk https://localhost:8443/health' \
#       cmw gateway --listen 0.0.0.0:8443 --data /data --tls-cert /tls/cert.pem --tls-key /tls/key.pem
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
RUN python -m venv /opt/cmw
COPY pyproject.toml setup.py README.md LICENSE ./
COPY cmw ./cmw
RUN /opt/cmw/bin/pip install --no-cache-dir --no-compile ".[gateway]" \
 && /opt/cmw/bin/python -m pip uninstall -y pip setuptools \
 && find /opt/cmw/lib -name tests -type d -prune -exec rm -rf {} + \
 && find /opt/cmw -name __pycache__ -prune -exec rm -rf {} + \
 && find /opt/cmw/lib -name '*.so*' -type f -exec strip --strip-unneeded {} + \
 && /opt/cmw/bin/python -m compileall -q /opt/cmw/lib

FROM ${BASE}
ARG VERSION=dev
ARG REVISION=
LABEL org.opencontainers.image.title="cmw" \
      org.opencontainers.image.description="Load and quality testing for SIP: worker and gateway" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN apt-get update \
 && apt-get install -y --no-install-recommends curl ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 cmw \
 && useradd --uid 10001 --gid cmw --no-create-home --home-dir /data --shell /usr/sbin/nologin cmw \
 && install -d -o cmw -g cmw -m 0750 /data
COPY --from=build /opt/cmw /opt/cmw
ENV PATH=/opt/cmw/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER cmw
WORKDIR /data
VOLUME /data
EXPOSE 3030/tcp
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s --retries=3 \
    CMD curl -fsS "http://localhost:${HEALTH_PORT:-3030}/health" || exit 1
ENTRYPOINT ["cmw"]
CMD ["worker"]
