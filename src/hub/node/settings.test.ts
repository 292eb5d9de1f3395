import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hubSettings, isModelId } from './settings.ts';

describe('hubSettings', () => {
  it('has the usual places when the environment says nothing', () => {
    expect(hubSettings({ HF_TOKEN: '', HF_HUB_OFFLINE: '' })).toEqual({
      endpoint: 'https://huggingface.co',
      token: { kind: 'file', path: join(homedir(), '.cache', 'huggingface', 'token') },
      cache: join(homedir(), '.cache', 'huggingface', 'hub'),
      offline: false,
      timeouts: { answer: 30, download: 30 },
    });
  });

  it.each([
    [{ HF_HUB_CACHE: '/c', HF_HOME: '/h' }, '/c'],
    [{ HF_HOME: '/h', XDG_CACHE_HOME: '/x' }, '/h/hub'],
    [{ XDG_CACHE_HOME: '/x' }, '/x/huggingface/hub'],
    [{ HF_HUB_CACHE: '~/models' }, `${homedir()}/models`],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as a shell would write it
    [{ HF_HUB_CACHE: '$BIG/${SUB}/$NONE', BIG: '/disk', SUB: 'hub' }, '/disk/hub/$NONE'],
    [{ HF_HOME: '~/hf' }, `${homedir()}/hf/hub`],
  ])('finds the cache with %j', (environment, cache) => {
    expect(hubSettings(environment).cache).toBe(resolve(cache));
  });

  it.each([
    ['1', true],
    ['TRUE', true],
    ['yes', true],
    ['on', true],
    ['0', false],
    ['no', false],
  ])('takes HF_HUB_OFFLINE=%s', (value, offline) => {
    expect(hubSettings({ HF_HUB_OFFLINE: value }).offline).toBe(offline);
  });

  it('takes TRANSFORMERS_OFFLINE where there is no HF_HUB_OFFLINE', () => {
    expect(hubSettings({ TRANSFORMERS_OFFLINE: '1' }).offline).toBe(true);
    expect(hubSettings({ TRANSFORMERS_OFFLINE: '1', HF_HUB_OFFLINE: '0' }).offline).toBe(false);
  });

  it.each<[Record<string, string>, object | undefined]>([
    [
      { HF_TOKEN: 'a', HUGGING_FACE_HUB_TOKEN: 'b', HF_TOKEN_PATH: '/t' },
      { kind: 'environment', variable: 'HF_TOKEN', value: 'a' },
    ],
    [
      { HF_TOKEN: ' ', HUGGING_FACE_HUB_TOKEN: 'b', HF_TOKEN_PATH: '/t' },
      { kind: 'environment', variable: 'HUGGING_FACE_HUB_TOKEN', value: 'b' },
    ],
    [
      { HF_TOKEN_PATH: '/t', HF_HOME: '/h' },
      { kind: 'file', path: resolve('/t') },
    ],
    [
      { HF_HOME: '/h', XDG_CACHE_HOME: '/x' },
      { kind: 'file', path: resolve('/h/token') },
    ],
    [{ XDG_CACHE_HOME: '/x' }, { kind: 'file', path: resolve('/x/huggingface/token') }],
    // The cache may lie elsewhere; the token stays at home.
    [
      { HF_HOME: '/h', HF_HUB_CACHE: '/c' },
      { kind: 'file', path: resolve('/h/token') },
    ],
    [{ HF_TOKEN: 'a', HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' }, undefined],
    [{ HF_HOME: '/h', HF_HUB_DISABLE_IMPLICIT_TOKEN: 'yes' }, undefined],
  ])('finds the token with %j', (environment, token) => {
    expect(hubSettings(environment).token).toEqual(token);
  });

  it('takes limits of time in seconds', () => {
    const { timeouts } = hubSettings({ HF_HUB_ETAG_TIMEOUT: '5', HF_HUB_DOWNLOAD_TIMEOUT: '120' });
    expect(timeouts).toEqual({ answer: 5, download: 120 });
    expect(hubSettings({ HF_HUB_DOWNLOAD_TIMEOUT: '0' }).timeouts.download).toBe(30);
    for (const value of ['-1', '1.5', 'ten', '1e99']) {
      expect(() => hubSettings({ HF_HUB_ETAG_TIMEOUT: value })).toThrow(
        /HF_HUB_ETAG_TIMEOUT is .*whole number/,
      );
    }
  });

  it('takes a mirror, and refuses what is no address', () => {
    expect(hubSettings({ HF_ENDPOINT: 'https://mirror.example/' }).endpoint).toBe('https://mirror.example');
    for (const HF_ENDPOINT of ['mirror.example', 'ftp://mirror.example', 'http://[']) {
      expect(() => hubSettings({ HF_ENDPOINT })).toThrow(/HF_ENDPOINT is .*expected an address/);
    }
    expect(() => hubSettings({ HF_ENDPOINT: 'https://me:secret@mirror.example' })).toThrow(
      /^HF_ENDPOINT holds a user or a password; expected an address alone/,
    );
  });
});

describe('isModelId', () => {
  it.each(['SimianLuo/LCM_Dreamshaper_v7', 'a/b', 'stabilityai/stable-diffusion-xl-base-1.0'])(
    'accepts %s',
    (id) => {
      expect(isModelId(id)).toBe(true);
    },
  );

  it.each(['model', './a/b', '/a/b', 'a/b/c', 'a/.b', 'a/b.', '../b', 'a/b c', 'a\\b'])(
    'refuses %s',
    (text) => {
      expect(isModelId(text)).toBe(false);
    },
  );
});
