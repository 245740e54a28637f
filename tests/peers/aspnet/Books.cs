// The bookkeeping API on ASP.NET Core, as far as it refuses, for capture.mjs: books.mjs compiles and runs it.
//
// POST /claims              one expense claim
// POST /claims/batch        {"items": [claim, …]}
// POST /claims/batch-array  [claim, …]
// PUT  /claims/ID           nobody may
//
// Model binding, validation and the bodies are the framework's.
using System;
using System.Collections.Generic;
using System.ComponentModel.DataAnnotations;
using System.Linq;
using System.Text.Json.Serialization;
using System.Threading;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Extensions.DependencyInjection;

public class Line
{
    [Required, RegularExpression("5000|5100|6700|7140|7320")]
    [JsonPropertyName("account")]
    public string Account { get; set; }

    [Required]
    [JsonPropertyName("amount")]
    public string Amount { get; set; }
}

public class Claim : IValidatableObject
{
    [Required, StringLength(40)]
    [JsonPropertyName("claim_number")]
    public string ClaimNumber { get; set; }

    [Required, RegularExpression("1000|1010|2000|2010|3000", ErrorMessage = "Unknown cost center")]
    [JsonPropertyName("cost_center")]
    public string CostCenter { get; set; }

    [Required, Range(typeof(decimal), "0.01", "50000", ParseLimitsInInvariantCulture = true)]
    [JsonPropertyName("amount")]
    public string Amount { get; set; }

    [Required, RegularExpression("[0-9]{4}-(0[1-9]|1[0-2])")]
    [JsonPropertyName("period")]
    public string Period { get; set; }

    [JsonPropertyName("lines")]
    public List<Line> Lines { get; set; }

    public IEnumerable<ValidationResult> Validate(ValidationContext context)
    {
        if (Lines != null && Lines.Sum(line => decimal.Parse(line.Amount)) != decimal.Parse(Amount))
        {
            yield return new ValidationResult("The lines do not add up to the amount.");
        }
    }
}

public class Batch
{
    [JsonPropertyName("items")]
    public List<Claim> Items { get; set; }
}

[ApiController, Route("claims")]
public class ClaimsController : ControllerBase
{
    [HttpPost]
    public IActionResult Create(Claim claim) => NoContent();

    [HttpPost("batch")]
    public IActionResult CreateBatch(Batch batch) => NoContent();

    [HttpPost("batch-array")]
    public IActionResult CreateArray(List<Claim> claims) => NoContent();

    [HttpPut("{id}")]
    public IActionResult Update(string id) => StatusCode(403);
}

public class Books
{
    public static void Main()
    {
        var host = new WebHostBuilder()
            .UseKestrel()
            .UseUrls("http://127.0.0.1:0")
            .ConfigureServices(services => services.AddControllers())
            .Configure(app => app
                // Which request it was is otherwise another number each time.
                .Use((context, next) => { context.TraceIdentifier = "1"; return next(); })
                .UseRouting().UseEndpoints(endpoints => endpoints.MapControllers()))
            .Build();
        host.Start();
        Console.WriteLine("ready " + host.ServerFeatures.Get<IServerAddressesFeature>().Addresses.First());
        Thread.Sleep(Timeout.Infinite);
    }
}
