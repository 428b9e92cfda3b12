// One issuer on 127.0.0.1 over TLS: `node provider.mjs https://127.0.0.1:PORT`.
//
// - Everything but the issuer's URL comes from the environment, as `settings` below names it.
// - "ready" is the only line on stdout; stderr has one line per request, never with a token: a refresh
//   token is told from others by the first 12 digits of its SHA-256.
// - All state is in memory and ends with the program, which ends when its stdin does.

import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

console.info = console.error;
const { default: Provider } = await import('oidc-provider');

const issuer = new URL(process.argv[2]);
const settings = {
  certificate: readFileSync(process.env.CERTIFICATE_FILE),
  key: readFileSync(process.env.KEY_FILE),
  clientId: process.env.CLIENT_ID,
  clientSecret: readFileSync(process.env.CLIENT_SECRET_FILE, 'utf8').trim(),
  scopes: process.env.SCOPES,
  audiences: process.env.AUDIENCES.split(' '), // the first is the one nobody has to ask for
  accessTokenSeconds: Number(process.env.ACCESS_TOKEN_SECONDS),
  refreshTokenSeconds: Number(process.env.REFRESH_TOKEN_SECONDS),
  deviceCodeSeconds: Number(process.env.DEVICE_CODE_SECONDS),
};

function signingKey(alg, type, options) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-1` };
}

function fingerprint(value) {
  return createHash('sha256').update(value).digest('hex').slice(0, 12);
}

function resourceServer(ctx, audience) {
  if (!settings.audiences.includes(audience)) {
    throw new Provider.errors.InvalidTarget('this audience is unknown here');
  }
  return {
    audience,
    scope: settings.scopes,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: 'RS256' } },
  };
}

const provider = new Provider(issuer.origin, {
  clients: [
    {
      client_id: settings.clientId,
      client_secret: settings.clientSecret,
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
      response_types: [],
      redirect_uris: [],
    },
  ],
  cookies: { keys: [randomBytes(32).toString('hex')] },
  jwks: {
    keys: [
      signingKey('ES256', 'ec', { namedCurve: 'P-256' }),
      signingKey('RS256', 'rsa', { modulusLength: 2048 }),
    ],
  },
  scopes: ['openid', 'offline_access'],
  rotateRefreshToken: true,
  ttl: {
    AccessToken: settings.accessTokenSeconds,
    RefreshToken: settings.refreshTokenSeconds,
    DeviceCode: settings.deviceCodeSeconds,
  },
  features: {
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      // A login that names no audience may later ask for any; a refresh that names none gets the first.
      defaultResource: (ctx, client, oneOf) => oneOf?.[0] ?? settings.audiences,
      useGrantedResource: () => true,
      getResourceServerInfo: resourceServer,
    },
  },
  extraTokenClaims: () => ({ 'wlcg.ver': '1.0', nbf: Math.floor(Date.now() / 1000) }),
  findAccount: (ctx, name) => ({ accountId: name, claims: () => ({ sub: name }) }),
});

provider.use(async (ctx, next) => {
  await next();
  const { params } = ctx.oidc ?? {};
  const used = params?.refresh_token && fingerprint(params.refresh_token);
  const words = [ctx.method, ctx.path, ctx.status, params?.grant_type, used, ctx.body?.error];
  console.error(words.filter(Boolean).join(' '));
});
provider.on('server_error', (ctx, error) => console.error(error));

process.stdin.resume().on('end', () => process.exit(0));
createServer({ cert: settings.certificate, key: settings.key }, provider.callback()).listen(
  Number(issuer.port),
  issuer.hostname,
  () => console.log('ready'),
);
