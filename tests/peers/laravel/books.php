<?php

// The bookkeeping API on Laravel, as far as it refuses, for capture.mjs: `php -S 127.0.0.1:0 books.php`.
//
// POST /claims               one expense claim
// POST /claims/batch         {"items": [claim, …]}
// POST /claims/batch-array   the same with a bare array
// PUT  /claims/{id}          403: the framework's own words for what is not allowed
//
// The validator, the kernel and the exception handler are the framework's. The sentences are those of its application
// skeleton: until its ninth version the framework itself had none.

declare(strict_types=1);

use Illuminate\Auth\Access\AuthorizationException;
use Illuminate\Config\Repository;
use Illuminate\Contracts\Debug\ExceptionHandler;
use Illuminate\Filesystem\FilesystemServiceProvider;
use Illuminate\Foundation\Application;
use Illuminate\Foundation\Exceptions\Handler;
use Illuminate\Foundation\Http\Kernel;
use Illuminate\Http\Request;
use Illuminate\Translation\ArrayLoader;
use Illuminate\Translation\Translator;
use Illuminate\Validation\Factory;
use Illuminate\View\ViewServiceProvider;

require_once 'Illuminate/autoload.php';

const SENTENCES = [
    'date_format' => 'The :attribute does not match the format :format.',
    'in' => 'The selected :attribute is invalid.',
    'max' => ['string' => 'The :attribute must not be greater than :max characters.'],
    'min' => ['numeric' => 'The :attribute must be at least :min.'],
    'not_in' => 'The selected :attribute is invalid.',
    'numeric' => 'The :attribute must be a number.',
    'required' => 'The :attribute field is required.',
];

const CLAIM = [
    'claim_number' => 'required|max:40',
    'member' => 'required|max:120',
    'cost_center' => 'required|in:1000,1010,2000,2010,3000',
    'amount' => 'required|numeric|min:0.01',
    'currency' => 'required|in:NOK,SEK,DKK,EUR,GBP,USD',
    'period' => 'required|date_format:Y-m|not_in:2025-12,2026-01',
    'lines' => 'array',
    'lines.*.account' => 'required|in:5000,5100,6700,7140,7320',
    'lines.*.amount' => 'required|numeric',
];

/** The rules of a claim, for each of those under a place. */
function under(string $place): array
{
    $rules = [];
    foreach (CLAIM as $field => $rule) {
        $rules[$place . $field] = $rule;
    }
    return $rules;
}

/** Without what an application reads from its folders: it has none. */
final class BareKernel extends Kernel
{
    protected $bootstrappers = [];
}

$app = new Application(__DIR__);
$app->instance('config', new Repository(['app' => ['debug' => false], 'view' => ['paths' => [], 'compiled' => '']]));
$app->singleton(ExceptionHandler::class, Handler::class);
$app->register(FilesystemServiceProvider::class);
$app->register(ViewServiceProvider::class);
$app->boot();

$sentences = (new ArrayLoader())->addMessages('en', 'validation', SENTENCES);
$validation = new Factory(new Translator($sentences, 'en'), $app);

$routes = ['/claims' => CLAIM, '/claims/batch' => under('items.*.'), '/claims/batch-array' => under('*.')];
foreach ($routes as $path => $rules) {
    $app['router']->post($path, fn (Request $request) => $validation->make($request->all(), $rules)->validate());
}
$app['router']->put('/claims/{id}', fn () => throw new AuthorizationException());

$app->make(BareKernel::class)->handle(Request::capture())->send();
