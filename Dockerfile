# dockgate from the npm package's bundle: non-root, one data volume, health check over the private CA.
FROM node:24-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
COPY scripts ./scripts
RUN npm ci --no-audit --no-fund
COPY . .
RUN npm run build

FROM node:24-slim
ENV NODE_ENV=production DOCKGATE_CONFIG=/etc/dockgate/dockgate.yaml NODE_OPTIONS=--max-semi-space-size=2
RUN mkdir -p /app /data /etc/dockgate && chown -R node:node /data
WORKDIR /app
COPY --from=build /src/dist ./dist
COPY --from=build /src/bin ./bin
COPY --from=build /src/dist/package.json ./package.json
COPY LICENSE README.md ./
RUN ln -s /app/bin/dockgate.js /usr/local/bin/dockgate
USER node
VOLUME /data
EXPOSE 2376
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s CMD ["dockgate", "status"]
ENTRYPOINT ["dockgate"]
CMD ["serve"]
